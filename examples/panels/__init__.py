"""The plugins of `plugins.py`: what lies in this folder is found and registered."""
