"""``python -m paragraph_ocr`` runs the command line."""

import sys

from paragraph_ocr.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
