"""placeholder"""
from rlenv.run_folder import RunFolder
def write_report(folder: RunFolder):
    return folder.path / "report.html"
