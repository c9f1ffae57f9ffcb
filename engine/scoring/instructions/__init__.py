"""Whether a reply follows instructions that a program can check: 25 kinds, each strictly and loosely.

Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models", arXiv 2311.07911, and
    its published checker, google-research `instruction_following_eval`.
"""

VERSION = 1
