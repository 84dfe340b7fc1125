"""What a comparison looks like on paper: a table, a page, files."""

from lbsim.report.files import check_place, write_all
from lbsim.report.page import write_page

__all__ = ["check_place", "write_all", "write_page"]
