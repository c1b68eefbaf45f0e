"""Faces (or whatever has identities): is this the same person?"""
