"""What the devices measured: windows kept, and the questions asked of them."""
