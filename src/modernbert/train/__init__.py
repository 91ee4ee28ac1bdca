"""The loop: it knows steps, ranks and disks, not what is learned."""
