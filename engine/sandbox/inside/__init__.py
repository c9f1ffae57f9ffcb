"""What runs inside the sandbox's processes: the standard library alone, nothing of the engine outside this folder."""
