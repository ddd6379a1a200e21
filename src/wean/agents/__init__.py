"""Whatever acts: one `Policy` contract for students, teachers, language models and references."""
