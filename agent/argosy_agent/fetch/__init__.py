"""How bytes get here: TUF metadata (`metadata`), one file (`download`), a whole variant (`variant`)."""
