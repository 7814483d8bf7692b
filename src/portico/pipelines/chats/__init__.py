"""The OpenAI API over the chat and responses of wrappers.

- `chat`: it. `chat_requests`: what wrappers are called with. `files`: files for a wrapper.
- `openai_errors`: how errors of all these look. `openai_paths`: their description.
- `openai_messages`, `serialized_inputs`: what a wrapper reads of requests.
"""
