//+------------------------------------------------------------------+
//|                                                MsgPackTokens.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The heads of msgpack values: kind, number, size. See MsgPack.mqh for the rules.
// May touch: Bytes.mqh. No files, sockets, orders.

#ifndef BRIDGE_WIRE_MSGPACKTOKENS_MQH
#define BRIDGE_WIRE_MSGPACKTOKENS_MQH

#include <Bridge/Support/Bytes.mqh>

#define MSGPACK_ARRAY_MAX 4096
#define MSGPACK_MAP_MAX   256
#define MSGPACK_DEPTH_MAX 1024

// What a value is, by its first byte.
enum ENUM_MSGPACK_KIND
  {
   MSGPACK_INVALID=0,
   MSGPACK_NIL=1,
   MSGPACK_BOOL=2,
   MSGPACK_UNSIGNED=3,   // the value is in u
   MSGPACK_SIGNED=4,     // negative; the value is in i
   MSGPACK_DOUBLE=5,
   MSGPACK_TEXT=6,
   MSGPACK_BYTES=7,
   MSGPACK_ARRAY=8,
   MSGPACK_MAP=9,
   MSGPACK_EXTENSION=10
  };

// The head of a value. Text, bytes: size and where they begin. Array, map: the count.
struct SMsgPackToken
  {
   ENUM_MSGPACK_KIND kind;
   bool              flag;
   ulong             u;
   long              i;
   double            d;
   int               begin;
   int               count;
   int               next;    // behind the head, and behind the bytes of text and bytes
  };

//+------------------------------------------------------------------+
//| Bytes, a place in them, and the head of the value there.         |
//+------------------------------------------------------------------+
class CMsgPackTokens
  {
protected:
   uchar             m_data[];
   int               m_at;
   int               m_end;
   int               m_depth;         // arrays and maps around the place
   string            m_problem;
   string            m_where;         // names of the structures around the field, with dots

public:
                     CMsgPackTokens(void) : m_at(0),m_end(0),m_depth(0),m_problem(""),m_where("") {}
   void              Attach(const uchar &data[]);
   void              AttachPart(const uchar &data[],const int begin,const int count);
   bool              Peek(SMsgPackToken &token) const;    // the head of the value at the place
   int               Position(void) const { return(m_at); }
   bool              Seek(const int at);
   bool              CopyRange(const int begin,const int end,uchar &out[]) const;
   string            TextAt(const SMsgPackToken &token) const;

protected:
   bool              HeadOf(const int at,SMsgPackToken &token) const;
   bool              Sized(const int head,const int width,const ENUM_MSGPACK_KIND kind,SMsgPackToken &token) const;
  };

// Fill in a value that has so many bytes of length behind its first byte, and then its bytes or
// its elements.
bool CMsgPackTokens::Sized(const int head,const int width,const ENUM_MSGPACK_KIND kind,SMsgPackToken &token) const
  {
   if(!Fits(m_end,head+1,width))
      return(false);
   uint count=0;
   if(width==1)
      count=(uint)m_data[head+1];
   if(width==2)
      count=GetU16BE(m_data,head+1);
   if(width==4)
      count=GetU32BE(m_data,head+1);
   token.kind=kind;
   token.begin=head+1+width;
   if(count>(uint)m_end)
      return(false);
   token.count=(int)count;
   token.next=token.begin;
   if(kind==MSGPACK_TEXT || kind==MSGPACK_BYTES)
     {
      if(token.count>m_end-token.begin)
         return(false);
      token.next=token.begin+token.count;
     }
   return(true);
  }

// Look at the head of the value at a place; false: it is cut or no msgpack.
bool CMsgPackTokens::HeadOf(const int at,SMsgPackToken &token) const
  {
   token.kind=MSGPACK_INVALID;
   token.flag=false;
   token.u=0;
   token.i=0;
   token.d=0.0;
   token.begin=0;
   token.count=0;
   token.next=at;
   if(at<0 || at>=m_end)
      return(false);
   int first=(int)m_data[at];
   token.next=at+1;
   token.begin=at+1;
   if(first<0x80)
     {
      token.kind=MSGPACK_UNSIGNED;
      token.u=(ulong)first;
      return(true);
     }
   if(first<0x90)
     {
      token.kind=MSGPACK_MAP;
      token.count=first&0x0F;
      return(true);
     }
   if(first<0xA0)
     {
      token.kind=MSGPACK_ARRAY;
      token.count=first&0x0F;
      return(true);
     }
   if(first<0xC0)
     {
      token.kind=MSGPACK_TEXT;
      token.count=first&0x1F;
      token.next=token.begin+token.count;
      return(token.count<=m_end-token.begin);
     }
   if(first>=0xE0)
     {
      token.kind=MSGPACK_SIGNED;
      token.i=(long)first-256;
      return(true);
     }
   int width=0;
   switch(first)
     {
      case 0xC0:
         token.kind=MSGPACK_NIL;
         return(true);
      case 0xC2:
      case 0xC3:
         token.kind=MSGPACK_BOOL;
         token.flag=(first==0xC3);
         return(true);
      case 0xC4:
         return(Sized(at,1,MSGPACK_BYTES,token));
      case 0xC5:
         return(Sized(at,2,MSGPACK_BYTES,token));
      case 0xC6:
         return(Sized(at,4,MSGPACK_BYTES,token));
      case 0xC7:
      case 0xC8:
      case 0xC9:
        {
         //--- an extension without data: Python's msgpack takes it, and so it may be passed over
         width=(first==0xC7 ? 1 : (first==0xC8 ? 2 : 4));
         if(!Sized(at,width,MSGPACK_EXTENSION,token) || token.count!=0 || token.begin>=m_end)
            return(false);
         token.next=token.begin+1;
         return(m_data[token.begin]<0x80);
        }
      case 0xCA:
         if(!Fits(m_end,at+1,4))
            return(false);
         token.kind=MSGPACK_DOUBLE;
         token.d=(double)BitsToFloat(GetU32BE(m_data,at+1));
         token.next=at+5;
         return(true);
      case 0xCB:
         if(!Fits(m_end,at+1,8))
            return(false);
         token.kind=MSGPACK_DOUBLE;
         token.d=BitsToDouble(GetU64BE(m_data,at+1));
         token.next=at+9;
         return(true);
      case 0xCC:
      case 0xCD:
      case 0xCE:
      case 0xCF:
        {
         width=1<<(first-0xCC);
         if(!Fits(m_end,at+1,width))
            return(false);
         token.kind=MSGPACK_UNSIGNED;
         if(width==1)
            token.u=(ulong)m_data[at+1];
         if(width==2)
            token.u=(ulong)GetU16BE(m_data,at+1);
         if(width==4)
            token.u=(ulong)GetU32BE(m_data,at+1);
         if(width==8)
            token.u=GetU64BE(m_data,at+1);
         token.next=at+1+width;
         return(true);
        }
      case 0xD0:
      case 0xD1:
      case 0xD2:
      case 0xD3:
        {
         width=1<<(first-0xD0);
         if(!Fits(m_end,at+1,width))
            return(false);
         long value=0;
         if(width==1)
           {
            value=(long)m_data[at+1];
            if(value>=0x80)
               value-=0x100;
           }
         if(width==2)
           {
            value=(long)GetU16BE(m_data,at+1);
            if(value>=0x8000)
               value-=0x10000;
           }
         if(width==4)
           {
            value=(long)GetU32BE(m_data,at+1);
            if(value>=2147483648)
               value-=4294967296;
           }
         if(width==8)
            value=(long)GetU64BE(m_data,at+1);
         token.kind=(value<0 ? MSGPACK_SIGNED : MSGPACK_UNSIGNED);
         token.i=(value<0 ? value : 0);
         token.u=(value<0 ? 0 : (ulong)value);
         token.next=at+1+width;
         return(true);
        }
      case 0xD9:
         return(Sized(at,1,MSGPACK_TEXT,token));
      case 0xDA:
         return(Sized(at,2,MSGPACK_TEXT,token));
      case 0xDB:
         return(Sized(at,4,MSGPACK_TEXT,token));
      case 0xDC:
         return(Sized(at,2,MSGPACK_ARRAY,token));
      case 0xDD:
         return(Sized(at,4,MSGPACK_ARRAY,token));
      case 0xDE:
         return(Sized(at,2,MSGPACK_MAP,token));
      case 0xDF:
         return(Sized(at,4,MSGPACK_MAP,token));
     }
   return(false);
  }

bool CMsgPackTokens::Peek(SMsgPackToken &token) const
  {
   if(!HeadOf(m_at,token))
      return(false);
   //--- all elements have a byte at least, so that a count beyond the end is seen here
   if((token.kind==MSGPACK_ARRAY && (token.count>MSGPACK_ARRAY_MAX || token.count>m_end-token.next)) ||
      (token.kind==MSGPACK_MAP && (token.count>MSGPACK_MAP_MAX || 2*token.count>m_end-token.next)))
      return(false);
   if((token.kind==MSGPACK_ARRAY || token.kind==MSGPACK_MAP) && m_depth>=MSGPACK_DEPTH_MAX)
      return(false);
   if(token.kind==MSGPACK_TEXT && !IsUtf8(m_data,token.begin,token.count))
      return(false);
   return(true);
  }

bool CMsgPackTokens::Seek(const int at)
  {
   if(at<0 || at>m_end)
      return(false);
   m_at=at;
   return(true);
  }

string CMsgPackTokens::TextAt(const SMsgPackToken &token) const
  {
   if(token.kind!=MSGPACK_TEXT)
      return("");
   return(Utf8ToText(m_data,token.begin,token.count));
  }

void CMsgPackTokens::AttachPart(const uchar &data[],const int begin,const int count)
  {
   m_at=0;
   m_end=0;
   m_depth=0;
   m_problem="";
   m_where="";
   if(!Fits(ArraySize(data),begin,count) || ArrayResize(m_data,count)!=count ||
      (count>0 && ArrayCopy(m_data,data,0,begin,count)!=count))
     {
      m_problem="no memory";
      return;
     }
   m_end=count;
  }

void CMsgPackTokens::Attach(const uchar &data[])
  {
   AttachPart(data,0,ArraySize(data));
  }

bool CMsgPackTokens::CopyRange(const int begin,const int end,uchar &out[]) const
  {
   int count=end-begin;
   if(!Fits(m_end,begin,count) || ArrayResize(out,count)!=count)
      return(false);
   return(count==0 || ArrayCopy(out,m_data,0,begin,count)==count);
  }

// Tell whether two pieces of an array are the same.
bool SameRange(const uchar &data[],const int first,const int second,const int count)
  {
   if(!Fits(ArraySize(data),first,count) || !Fits(ArraySize(data),second,count))
      return(false);
   for(int i=0; i<count; i++)
      if(data[first+i]!=data[second+i])
         return(false);
   return(true);
  }

#endif // BRIDGE_WIRE_MSGPACKTOKENS_MQH
