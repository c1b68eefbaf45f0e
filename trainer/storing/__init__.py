"""Keep named bytes in a folder or a bucket, and let one of several writers win."""
