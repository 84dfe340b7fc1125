"""What a comparison looks like on paper: a table, a page, files."""

from lbsim.report.files import write_all
from lbsim.report.page import write_page

__all__ = ["write_all", "write_page"]
