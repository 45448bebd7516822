"""Coverage-guided fuzzing of every codec; the corpus beside it is kept."""
