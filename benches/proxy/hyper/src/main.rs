//! A proxy of hyper on both sides and nothing else: one thread, connections to the app that are used again, each response
//! collected before it goes back. It validates nothing and has no deadline, no metrics and no limits: what understudy costs above
//! this, its own code costs.

use std::cell::RefCell;
use std::env;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

type Error = Box<dyn std::error::Error + Send + Sync>;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The app, and the connections to it that are idle.
struct App {
    address: String,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl App {
    async fn handle(&self, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
        let headers = request.headers_mut();
        headers.remove(CONNECTION);
        headers.insert(FORWARDED_FOR, HeaderValue::from_static("127.0.0.1"));
        let mut connection = self.connection().await?;
        let (mut head, body) = connection.send_request(request).await?.into_parts();
        let document = body.collect().await?.to_bytes();
        self.idle.borrow_mut().push(connection);
        head.headers.remove(CONNECTION);
        Ok(Response::from_parts(head, Full::new(document)))
    }

    async fn connection(&self) -> Result<SendRequest<Incoming>, Error> {
        loop {
            let Some(mut connection) = self.idle.borrow_mut().pop() else {
                break;
            };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let (sender, driver) = client::conn::http1::handshake(TokioIo::new(socket)).await?;
        spawn_local(driver);
        Ok(sender)
    }
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, app] = &arguments[..] else {
        return Err("bare-hyper LISTEN APP: two addresses".into());
    };
    let runtime = Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, serve(listen, app))
}

async fn serve(listen: &str, app: &str) -> Result<(), Error> {
    let listener = TcpListener::bind(listen).await?;
    let app = Rc::new(App {
        address: app.to_owned(),
        idle: RefCell::default(),
    });
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let app = Rc::clone(&app);
        spawn_local(async move {
            let service = service_fn(|request| app.handle(request));
            let connection =
                server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            // A client that leaves is no error here.
            let _ = connection.await;
        });
    }
}
