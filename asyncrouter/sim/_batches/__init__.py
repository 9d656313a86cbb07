"""The batch APIs of four vendors, simulated: files, batches, their lives in virtual time, and what goes wrong there."""
