"""What kernels run on: threads, backends, the order of memory."""
