"""What the commands of `limpid` do, one file each. `edge/cli.py` only names and explains them."""
