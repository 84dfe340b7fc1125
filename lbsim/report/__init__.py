"""What a comparison looks like on paper: a table, a page, files."""

from lbsim.report.files import MARK, write_all
from lbsim.report.page import write_page
from lbsim.report.place import check_place

__all__ = ["MARK", "check_place", "write_all", "write_page"]
