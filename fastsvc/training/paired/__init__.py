"""A few-step student from recordings' own mels and an adversary, without a teacher (`method: paired`)."""
