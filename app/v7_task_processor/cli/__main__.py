"""`python -m v7_task_processor.cli`, where the command is not on the PATH."""

from . import main

main()
