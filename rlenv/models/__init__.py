"""Small decoders, their tokenizers, and checkpoint folders in Hugging Face format."""
