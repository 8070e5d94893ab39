"""What people lose elsewhere without a word, by public bug reports, and the tests here that hold the right value."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REPORTS = {
    # 1. lengths that are only estimates
    "an mp3 without a Xing frame is read whole: frames × 1152 − 529": "test_audio_whole test_an_mp3_without_a_tag",
    "mp3, Ogg, Opus, FLAC and WAV joined by cat are their sum": "test_joined test_the_sum_of_its_parts",
    "FLAC and WAV of unknown length are read to their end": "test_audio_whole test_a_flac_of_unknown_length",
    "sizes that mean unknown, in every container": "test_joined test_sizes_that_mean_unknown",
    "an mp3 whose tag counts wrongly": "test_audio_lengths test_an_mp3_whose_tag_counts_wrongly",
    "results over 4 GiB": "test_encode_limits test_wav_over_the_limit_becomes_rf64",
    "channels that a format lacks, before the work": (
        "test_batch_results test_channels_are_checked_before_the_first_conversion"
    ),
    "no Python object in a message": "test_encode_limits test_no_python_object_in_what_the_encoder_says",
    "a Mac's ._NAME beside an mp3": "test_audio_whole test_neither_names_nor_neighbours_matter",
    # 2. more formats
    "m4a, mp4, webm, mov, CAF come back to the sample": "test_media test_what_was_written_comes_back_at_its_place",
    "one line where PyAV is not installed": "test_media_folder test_without_the_package_one_line_says_what_reads_it",
    "what was left out is said, also where nothing else is there": (
        "test_batch_plan test_where_nothing_else_is_there_what_was_left_out_is_counted"
    ),
    # 3. channels
    "antiphase stereo and a voice in one of six channels": "test_channels test_a_voice_keeps_its_level",
    "in training data likewise": "test_channels test_training_data_likewise",
    # 4. level and dynamics
    "a verse 24 or 30 dB softer stays so within 3 dB": "test_level test_steps_rests_and_the_whole",
    "a click changes nothing else by more than 1 dB": "test_level test_clicks_change_nothing_else",
    "results are as loud as inputs within 1 dB": "test_level test_steps_rests_and_the_whole",
    # 5. what lies below the voice
    "hum at −50 dBFS is not sung": "test_hum test_rests_with_hum_are_unvoiced",
    "an offset moves the mel by less than 0.1 dB": "test_highpass test_the_mel_moves_by_less_than_a_tenth_of_a_decibel",
    "rests are never louder than they came": "test_level test_rests_are_never_louder_than_they_came",
    # 6. pitch range
    "40 to 2100 Hz are heard as they are": "test_f0_range test_what_lies_outside_is_heard",
    "what lies outside the model's range is said": "test_f0_range test_a_batch_says_it",
    "growl": "test_f0_range test_growl",
    "fry": "test_f0_range test_fry",
    # 7. other people's checkpoints
    "every dress of every family": "test_dresses test_every_dress_of_every_family",
    "plain values beside the weights": (
        "test_beside_the_weights test_plain_values_beside_the_weights_are_read_and_kept_out"
    ),
    "LFS pointers and HTML pages given for models": "test_lookalikes test_given_for_a_model",
    "LFS pointers and HTML pages given for recordings": "test_lookalikes test_given_for_a_recording",
    "YAML errors with line and column": "test_config_files test_faults_of_yaml_have_a_place_in_every_reader",
    "GBK and UTF-16": "test_config_files test_names_in_every_encoding",
    "the one configuration under another name": (
        "test_config_files test_the_one_configuration_under_another_name_is_proposed"
    ),
    "two names for one id": "test_speaker_names test_a_table_that_says_two_things",
    "names typed on a Mac": "test_speaker_names test_a_name_is_found_however_it_is_typed",
    "names of voices as names of files": "test_speaker_names test_names_as_parts_of_file_names",
    # 8. training data and resume
    "rows follow names": "test_resume_singers test_rows_of_a_voice_follow_names",
    "the mel range stays the checkpoint's": "test_resume_singers test_the_mel_range_stays",
    "other sizes are one line": "test_resume_settings test_other_sizes_are_one_line_before_any_work",
    "--resume with nothing there": "test_resume_settings test_nothing_to_resume_is_said_and_it_starts_anew",
    "every file of a dataset is accounted for": "test_prepare_report test_every_file_is_accounted_for",
    "linked folders and loops": "test_prepare_report test_links_are_followed_once_and_loops_are_not",
    # 9. stale results
    "another request into the same folder": "test_batch_results test_another_request_is_a_conflict_that_is_named",
    "a result that cannot be read is made again": "test_batch_results test_what_cannot_be_read_is_made_again_and_kept",
    # 10. before, not after
    "--report is checked before the first conversion": "test_batch_check test_what_is_no_report_is_not_replaced",
    "names of 255 bytes": "test_files test_longest_names",
    "--out '~/x'": "test_batch_check test_the_home_folder",
    "progress in a log file is lines": "test_progress test_a_log_holds_lines_alone",
    "libmpg123 is silent": "test_screen_libraries test_libmpg123_is_not_seen_and_all_others_are",
}


@pytest.mark.parametrize("report", REPORTS)
def test_it_has_a_test(report):
    file, test = REPORTS[report].split()
    text = (TESTS / f"{file}.py").read_text(encoding="utf-8")
    assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{report}: {file} has no {test}"
