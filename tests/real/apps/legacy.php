<?php
// A webhook app as it has stood on some machine for fifteen years: one file, no package, no Content-Type, TwiML out of
// string concatenation, its own signature check, and one page that never left ISO-8859-1.
//
// The tests put understudy before it. PHP's built-in server serves it: answers without a length that end with the
// connection, `text/html` unless said otherwise, and error messages in the page.
//
// Usage: TWILIO_AUTH_TOKEN=… [LOGIN=USER:PASSWORD] php -d display_errors=1 -S 127.0.0.1:PORT legacy.php

function signature_is_good()
{
    $proto = isset($_SERVER['HTTP_X_FORWARDED_PROTO']) ? $_SERVER['HTTP_X_FORWARDED_PROTO'] : 'http';
    $signed = $proto . '://' . $_SERVER['HTTP_HOST'] . $_SERVER['REQUEST_URI'];
    ksort($_POST, SORT_STRING);
    foreach ($_POST as $name => $value) {
        $signed .= $name . $value;
    }
    $expected = base64_encode(hash_hmac('sha1', $signed, getenv('TWILIO_AUTH_TOKEN'), true));
    $given = isset($_SERVER['HTTP_X_TWILIO_SIGNATURE']) ? $_SERVER['HTTP_X_TWILIO_SIGNATURE'] : '';
    return hash_equals($expected, $given);
}

function login_is_good()
{
    $given = isset($_SERVER['PHP_AUTH_USER']) ? $_SERVER['PHP_AUTH_USER'] . ':' . $_SERVER['PHP_AUTH_PW'] : '';
    return getenv('LOGIN') === false || getenv('LOGIN') === $given;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$head = '<?xml version="1.0" encoding="UTF-8"?>' . "\n";

if (!login_is_good()) {
    header('WWW-Authenticate: Basic realm="hooks"');
    http_response_code(401);
    echo 'Who calls?';
} elseif ($path == '/media') {
    http_response_code(426);
    header('Upgrade: websocket');
    echo 'There are no streams here.';
} elseif ($path == '/voice/fatal') {
    echo $head . '<Response><Say>' . text_of_the_day() . '</Say></Response>';
} elseif ($path == '/voice/warning') {
    echo $head . '<Response><Say>' . $textOfTheDay . '</Say></Response>';
} elseif (!signature_is_good()) {
    http_response_code(403);
    echo '<html><body><h1>Forbidden</h1></body></html>';
} elseif ($path == '/voice/incoming') {
    $state = htmlspecialchars($_REQUEST['CallerState']);
    echo $head . '<Response><Gather numDigits="1" action="/voice/menu?step=1"><Say>';
    flush();
    echo 'Hello caller from ' . $state . '</Say></Gather></Response>' . "\n";
} elseif ($path == '/voice/outbound') {
    header('Content-Type: application/xml');
    echo $head . '<Response><Dial>' . htmlspecialchars($_POST['To']) . '</Dial></Response>';
} elseif ($path == '/voice/menu') {
    echo $head . "<Response>\n  <Say>You pressed '" . htmlspecialchars($_POST['Digits']) . "'</Say>\n</Response>\n";
} elseif ($path == '/voice/voicemail-done') {
    header('Content-Type: text/html; charset=ISO-8859-1');
    echo '<?xml version="1.0" encoding="ISO-8859-1"?>' . "\n";
    echo "<Response><Say language=\"fr-FR\">Merci, \xE0 bient\xF4t</Say></Response>";
} elseif ($path == '/voice/fallback') {
    echo '<Response><Say>Error ' . htmlspecialchars($_POST['ErrorCode']) . '</Say></Response>';
} elseif ($path == '/sms/incoming') {
    if (isset($_COOKIE['step'])) {
        setcookie('step', $_COOKIE['step'] + 1);
        setcookie('sid', $_COOKIE['sid'], ['path' => '/sms', 'httponly' => true]);
    }
    $reply = isset($_REQUEST['OptOutType']) ? '' : '<Sms>You said: ' . htmlspecialchars($_REQUEST['Body']) . '</Sms>';
    echo $head . '<Response>' . $reply . '</Response>';
} else {
    http_response_code(204);
}
