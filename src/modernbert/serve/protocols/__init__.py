"""What is asked over HTTP, a file a dialect: shapes of requests and replies, and handlers."""
