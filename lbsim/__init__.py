"""lbsim."""
