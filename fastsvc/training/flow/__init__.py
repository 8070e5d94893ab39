"""Training of rectified flows over a synthesiser's mel (DDSP-SVC 6): a teacher, and its distillation to a few steps."""
