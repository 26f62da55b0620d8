"""Who writes the captions: templates, Gemini, or any OpenAI-compatible server; and what that may cost."""
