"""What must survive a restart, and the contract that every store keeps."""
