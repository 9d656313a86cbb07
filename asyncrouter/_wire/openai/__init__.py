"""The wire of OpenAI's Chat Completions API, which most other hosts speak too."""
