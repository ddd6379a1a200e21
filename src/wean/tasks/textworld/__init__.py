"""Text adventures made by TextWorld (1806.11532): cooking, treasure hunter and coin collector."""
