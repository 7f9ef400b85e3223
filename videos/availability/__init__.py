"""When and where a video may be watched and sold: dates, and countries (docs/adr/0045)."""
