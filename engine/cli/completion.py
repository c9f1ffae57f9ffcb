"""`engine completion`: the script that makes a shell complete commands and flags."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"] = "bash", /) -> int:
    """Print what makes a shell complete commands and flags; nothing is written.

    `eval "$(engine completion bash)"` in ~/.bashrc, `engine completion fish | source` in config.fish.

    Args:
        shell: bash, zsh or fish.
    """
    from engine.cli.app import build_app

    print(build_app().generate_completion(prog_name="engine", shell=shell))
    return 0
