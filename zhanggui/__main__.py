"""`python -m zhanggui`: the command line without its script."""

from zhanggui.cli import main

main()
