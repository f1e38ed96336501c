# ruff: noqa: E501
"""Safeguards: reports for an office, summaries of months and years, and reports written now."""

from __future__ import annotations

from scripts.safeguards.safeguard import Safeguard, of

_BOOK, _PAGE = "pipeline/office/test_workbook.py::", "pipeline/office/test_page.py::"
_PROCESS, _PERIODS = "pipeline/office/test_office_process.py::", "pipeline/reports/test_period_reports.py::"
_VALUES = "pipeline/office/test_excel_values.py::"
_REPORTS = "pipeline/web/routes/test_reports.py::"

SAFEGUARDS: tuple[Safeguard, ...] = (
    of(
        "a name is no formula in a workbook", "pipeline/office/workbook.py",
        "            self._text.data_type = \"s\"  # after the value, from which openpyxl guesses a type\n",
        "",
        (35, 96),
        (
            _BOOK + "test_each_name_is_a_text_cell_whatever_it_looks_like",
            _BOOK + "test_a_row_of_results_keeps_its_types_and_its_text_whatever_it_looks_like",
        ),
    ),
    of(
        "a text of a workbook stays text when it is edited", "pipeline/office/workbook.py",
        "    cell.number_format = \"@\"\n",
        "",
        (), (_BOOK + "test_each_name_is_a_text_cell_whatever_it_looks_like",),
    ),
    of(
        "more rows than a sheet holds", "pipeline/office/workbook.py",
        "    yield islice(remaining, SHEET_ROWS)\n",
        "    yield remaining\n",
        (), (_BOOK + "test_more_rows_than_a_sheet_holds_go_on_in_the_next",),
    ),
    of(
        "no temporary file of a killed process", "pipeline/office/scratch.py",
        "            shutil.rmtree(left, ignore_errors=True)\n",
        "            pass\n",
        (), (_BOOK + "test_what_a_killed_process_left_is_removed",),
    ),
    of(
        "temporary files in use stay", "pipeline/office/scratch.py",
        "            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        (), (_BOOK + "test_workbooks_that_are_written_at_once_leave_each_other_alone",),
    ),
    of(
        "no text of a workbook is another when Excel reads it", "pipeline/office/excel_values.py",
        "_LOOKS_ESCAPED.sub(\"_x005F_\", written[:LONGEST_TEXT])",
        "written",
        (), (_VALUES + "test_texts_have_no_character_that_xml_forbids_and_nothing_that_excel_reads_as_another",),
    ),
    of(
        "no date that a spreadsheet has none for", "pipeline/office/excel_values.py",
        "        return value if value.year >= _FIRST_YEAR else value.isoformat()\n",
        "        return value\n",
        (), (_VALUES + "test_what_a_spreadsheet_has_no_number_or_date_for_is_text",),
    ),
    of(
        "a damaged CSV file costs the files for an office only", "pipeline/office/child.py",
        "        except (ValueError, KeyError, TypeError) as error:",
        "        except KeyError as error:",
        (), (_BOOK + "test_a_damaged_csv_file_is_a_problem_and_no_traceback",),
    ),
    of(
        "no formula in a CSV for Excel", "pipeline/office/excel_csv.py",
        "    return neutral(value) if isinstance(value, str) else str(value)\n",
        "    return str(value)\n",
        (35, 96), ("pipeline/office/test_excel_csv.py::test_no_cell_is_a_formula_and_lines_end_as_excel_ends_them",),
    ),
    of(
        "names in a page are escaped", "pipeline/office/page.py",
        "    autoescape=True,\n",
        "    autoescape=False,\n",
        (110,), (_PAGE + "test_names_are_escaped",),
    ),
    of(
        "a page is bounded", "pipeline/office/page.py",
        " if len(jpeg) <= MOST_BYTES}",
        "}",
        (), (_PAGE + "test_a_picture_that_is_too_large_is_left_out",),
    ),
    of(
        "so many photos in a page and no more", "pipeline/office/day_figures.py",
        "    if len(heap) < MOST_PHOTOS:\n",
        "    if True:\n",
        (), (_PAGE + "test_only_so_many_photos_are_shown_those_that_the_model_is_least_sure_of",),
    ),
    of(
        "a dead office process costs no day", "pipeline/office/office_process.py",
        "        except (ChildFailed, ModelError) as error:\n",
        "        except ModelError as error:\n",
        (), (_PROCESS + "test_an_office_process_that_dies_leaves_the_csv_files_alone_and_the_day_written",),
    ),
    of(
        "a photo that kills the decoder costs its picture", "pipeline/office/office_process.py",
        "            except ChildFailed as failure:\n"
        "                logger.warning(\"reports: no picture of file %d: %s\", request.id, failure)\n"
        "                continue\n",
        "",
        (), (_PROCESS + "test_a_photo_that_kills_the_decoder_lacks_its_picture_alone",),
    ),
    of(
        "a full disk for the office is tried again", "pipeline/office/office_process.py",
        "        if answer.failed:\n",
        "        if False:\n",
        (), (_PROCESS + "test_a_full_disk_for_the_office_leaves_the_day_due",),
    ),
    of(
        "files for an office as private as the reports", "pipeline/office/child.py",
        "    with limited(settings.permissions), contextlib",
        "    with contextlib",
        (), (_PROCESS + "test_a_report_has_its_workbook_and_page_made_by_processes_of_their_own",),
    ),
    of(
        "one writer of reports at a time", "pipeline/reports/daily.py",
        "                    stack.enter_context(exclusive(self.state / LOCK, 1.0, \"reports are being written\"))\n",
        "",
        (), (_PERIODS + "test_two_writers_take_turns",),
    ),
    of(
        "a month as new as its days", "pipeline/reports/periods.py",
        "            newest[name] = max(at, newest.get(name, at))\n",
        "            pass\n",
        (), (_PERIODS + "test_a_month_is_written_again_with_a_day_of_it_and_only_then",),
    ),
    of(
        "a month counts once it was written", "pipeline/reports/period_reports.py",
        "        self._record(period, now)\n        return path\n",
        "        return path\n",
        (), (_PERIODS + "test_a_deleted_summary_is_not_made_again",),
    ),
    of(
        "one report is written by the pages at a time", "pipeline/web/services/write_report.py",
        "            if self.is_writing:\n",
        "            if False:\n",
        (), (_REPORTS + "test_one_report_is_written_at_a_time_and_a_slow_one_goes_on",),
    ),
    of(
        "no report of a day that cannot have photos", "pipeline/web/routes/reports.py",
        "    if not (_first_day(context) or today) <= wanted <= today:\n",
        "    if False:\n",
        (), (_REPORTS + "test_no_report_is_written_of_a_day_that_cannot_have_photos",),
    ),
    of(
        "no folder of months that is a link", "pipeline/web/services/report_files.py",
        "        parent = open_folder(folder, inside.encode())\n",
        "        parent = open_folder(folder / inside, b\"\")\n",
        (106,), (_REPORTS + "test_a_folder_of_months_that_is_a_link_leads_nowhere",),
    ),
)  # fmt: skip
