"""Programs around the trainers, by what one comes for: `upt-clip -h` lists them."""

if __name__ != "upt_clip.tools":
    raise ImportError("import it as upt_clip.tools: under a second name all of it would be loaded twice")
