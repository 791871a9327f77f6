"""The torch code of the passes: a pass says what can be asked, a method does it."""
