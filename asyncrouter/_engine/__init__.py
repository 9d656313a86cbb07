"""One call: attempts, retries, fallbacks and hedges over a plan."""
