"""The wire of Google's Gemini API (generateContent)."""
