"""A server before a language model's endpoint that lets a distilled student take decisions; see docs/gateway.md."""
