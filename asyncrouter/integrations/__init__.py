"""asyncrouter inside other people's engines; each module needs what it is named after."""
