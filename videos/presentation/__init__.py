"""What players show beside picture and sound: captions, chapters, poster, storyboard and labels.

A version's segments never change. Its manifests and texts follow the database (`refresh`).
"""
