"""The small experiments that a calibration is made of (`live.calibrate`)."""
