import sys

from .process import main

main(int(sys.argv[1]))
