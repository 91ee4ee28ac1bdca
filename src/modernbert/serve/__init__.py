"""Models behind HTTP: requests of OpenAI's, TEI's, Cohere's and our own shape in, replies out."""
