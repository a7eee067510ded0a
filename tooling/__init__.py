"""What the noxfile and the workflows know about this workspace: no session, no package code."""
