"""Write what runs came to into one file."""
