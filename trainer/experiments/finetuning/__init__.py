"""Fine-tune the last blocks of an encoder, beside the frozen one."""
