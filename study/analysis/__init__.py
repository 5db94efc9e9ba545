"""What a study's frames say: how sure a difference is, which tasks group together, how fast tasks converge.

Pure functions of frames and numbers; they know nothing of stores, and draw nothing.
"""
