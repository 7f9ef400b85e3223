"""The lab: odd but real inputs, made by FFmpeg, and the playing of what the pipeline makes of them."""
