"""The hosted kernel's memory management: one idea a file, every structure in guest memory."""
