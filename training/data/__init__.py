"""Annotated pages and what is cut or drawn from them to fit models on."""
