"""Every run leaves a folder you can trust."""
